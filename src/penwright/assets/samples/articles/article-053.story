A narrow footbridge over the River Pell was closed for most of Thursday by two people, each of whom wanted the other to go first.

Geoffrey Lamb, 55, a piano teacher, was crossing from the east with a string bag at five to nine. Veronica Stiles, 58, a chiropodist, had set foot on the western end. Both stopped. Both said, "After you."

The bridge is two feet wide. By half past nine there was a queue on each bank, but nobody in either liked to push. A boy swam over with some messages.

At eleven Mr Lamb took a pace back, at the same instant as Miss Stiles. It was agreed on both banks to have been beautifully done, and no help whatever. They were by now discussing the weather, and by noon, books.

Lunch was passed along from hand to hand. It came on to drizzle. She had an umbrella but did not care to put it up, since he had none, and so he borrowed one and did not put it up either.

A constable resolved the matter at ten to four by asking them both to come off at his side. They were last seen holding open the door of a tea room. It had not been entered by closing time.

@highlight

Two people blocked a footbridge by insisting that the other go first

@highlight

Geoffrey Lamb and Veronica Stiles stood there from morning until ten to four

@highlight

A constable ended it by asking both to leave by the same side
