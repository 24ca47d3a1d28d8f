"""The endings of image files, in one list for every verb that looks for images in a folder."""

IMAGE_SUFFIXES = (
    ".avif", ".bmp", ".gif", ".j2k", ".jfif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tga", ".tif", ".tiff",
    ".webp",
)  # fmt: skip

#: Pillow's names of the formats that are read; of any other nobody has checked that its depth and pages are told
IMAGE_FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
