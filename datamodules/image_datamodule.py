"""The base of the image datamodules."""

from datamodules.samples_datamodule import SamplesDataModule


class ImageDataModule(SamplesDataModule):
    """Base of datamodules whose `test_dataloader` yields a named subset of labelled images as `ImageBatch`es.

    Options, attributes and errors are those of `SamplesDataModule`.
    """

    task = "images"
