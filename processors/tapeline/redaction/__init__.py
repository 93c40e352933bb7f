"""Redaction: keeps secrets out of everything that lies behind the gate."""
