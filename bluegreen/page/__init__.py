"""What reports are made of, whatever they tell of: the same parts become Markdown and a page of HTML."""
