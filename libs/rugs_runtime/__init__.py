"""What every process shares: settings, logs, the life of a service, the embedded broker, the stack."""
