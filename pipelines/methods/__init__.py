"""The table of the methods that a comparison has, and pictures of the front ends that they learn."""
