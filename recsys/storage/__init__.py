"""Files at URLs: objects of S3, Google Cloud Storage and Azure, read, written and brought here."""
