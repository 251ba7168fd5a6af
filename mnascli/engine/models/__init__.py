"""What MODEL means, and what is done with one: trained, evaluated."""
