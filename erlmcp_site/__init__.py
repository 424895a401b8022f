import gc

USUAL_THRESHOLDS = gc.get_threshold()

# what a start imports stays: to look through it for garbage again and again, while it grows, is a tenth of a start
gc.set_threshold(100_000)
