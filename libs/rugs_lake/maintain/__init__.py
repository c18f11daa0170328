"""What keeps a lake small, whole and current: compaction, retention, verification, migration."""
