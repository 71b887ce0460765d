"""The paper's tables and figures, computed anew and judged beside the proved optimum that it lacked.

One module an item: what to compute (its jobs), and what follows (its conclusion): tables, a figure, and for each
statement of the paper whether it holds here and by which numbers.
"""
