"""What a trained model is used for: free functions of its three verbs."""
