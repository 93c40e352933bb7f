"""Re-aggregation: many streams become one output, and its sum is that of their increases."""
