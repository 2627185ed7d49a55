"""What commands share: from a command line to built things, and back to one sentence where it fails."""
