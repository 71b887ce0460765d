"""What is solved: profiles, scenarios, delay curves and the compiled problem."""
