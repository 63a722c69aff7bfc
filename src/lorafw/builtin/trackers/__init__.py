"""Listeners that keep what a run tells: in files of its folder, or with a tracker."""
