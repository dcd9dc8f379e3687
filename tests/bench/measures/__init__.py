"""One module per measurement. Each yields figures as it gets them."""
