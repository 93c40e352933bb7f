"""VeloZ on the floor: a trading engine, and the HTTP gateway in front of it."""
