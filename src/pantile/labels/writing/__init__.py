"""What the writers of annotation tools' formats share."""
