"""The judges: they load no part of the generator and share neither weights nor people with it."""
