"""Sources of examples: files in the authors' layout, the user's own files, the Hub, the generated archipelago."""
