"""Plans of launches: environment, model, GPU memory, price; drafts of the launch form."""
