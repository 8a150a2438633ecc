"""What a logger's export says: any maker's CSV, a workbook, Berlinger's text -> times and columns of temperature.

`reading` takes the bytes of a file, `tags` and `tables` know the forms, `headings` the words above columns, `moments` the ways to
write a time, `clock` makes one line of time of them, `cells` the ways to write a number. `exported` is what comes out.
Contract: nothing is guessed that could be wrong in silence. What was passed over is said in `notes`; what could mean two things
(a date 03/04, a temperature without a unit that only makes sense in Fahrenheit) is asked back.
"""
