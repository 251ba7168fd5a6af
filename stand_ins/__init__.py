"""What stands in for phones, boards, adb and trainings, in tests and in benchmarks."""
