"""KTRDR on the floor: its API, and the hosts that hold the broker's gateway and the GPU."""
