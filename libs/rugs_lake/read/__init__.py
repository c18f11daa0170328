"""One snapshot for one question: views, files, rejects, figures."""
