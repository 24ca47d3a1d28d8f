"""The types that every room shares. They import nothing from the rest of the package."""
