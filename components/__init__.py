"""What we declare: a release as Pulumi components. How it becomes real is the provider's business."""
