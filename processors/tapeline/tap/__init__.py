"""The tap: who looks at what passes the gate sees some of it, behind the redaction."""
