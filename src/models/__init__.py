"""The base text-to-image model, its prompts and PromptNet."""
