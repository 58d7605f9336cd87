"""What a config would launch: plan, GPU memory, price, draft."""
