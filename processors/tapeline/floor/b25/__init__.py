"""b25's seven services and the server they run on, with the metrics and logs of its plan."""
