"""Images for training and evaluation: the embedded digits, torchvision's data sets, any folder of images."""

from esvae.data.found import FoundData, look_for_data
from esvae.data.images import ImageSet, ImageSplits
from esvae.data.load import data_root, load_images

__all__ = ["FoundData", "ImageSet", "ImageSplits", "data_root", "load_images", "look_for_data"]
