"""Random problems of every nasty kind, what must hold on each, and a long run that keeps what fails."""
