"""A generator of labelled indoor rooms, and writers of them in the layouts of ScanNet and S3DIS."""
