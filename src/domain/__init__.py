"""What a job is and may become: pure values and rules, standard library only."""
