"""Files in and out: whole or not there, pictures, folders, tables that people made."""
