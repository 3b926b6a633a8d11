Night cleaner Agnes Opoku has been named Employee of the Year at the county records office for work that she did not know was work.

Mrs Opoku, 59, has dusted the basement for fourteen years. It has nine miles of shelves. She had formed the habit of reading a label aloud as she went by, for company, and of saying good night to the last one.

Archivist Crispin Lowndes, 38, came to a strange conclusion in the course of a stock check. Files on her side of the room were in perfect order, although they had not been touched since the move. On the other, where a machine is used, they had wandered, and two parishes were completely missing.

He hid behind the tithe maps one evening to see what she did. He heard her say, "Births, 1840 to 1850, and how are we?" There was a sort of rustle, he said, like an audience sitting up straight.

She has been given a certificate and a rise, and a chair for the halfway point. The machine has been retired.

Both parishes were back on their shelf by the end of her first week in the east wing. They were dusty, she said, but they had got each other.

@highlight

Cleaner Agnes Opoku was named Employee of the Year at the records office

@highlight

Files she spoke to stayed in order while others wandered

@highlight

Two missing parishes returned after she began work in the east wing
