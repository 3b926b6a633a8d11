Environmental health officers were called to a bungalow in Laburnum Close by residents who complained that the man who lived there was too quiet.

Mr Wallace Hume, 58, moved in at the end of August. His neighbour, Deirdre Slack, told the council that she could not sleep. It was not just that there was no noise from number 9, she said, but that noise from elsewhere went in and did not come out.

Officer Tunde Bakare took a meter into the front garden. The needle dropped to nothing and then, he reported, leaned on the pin. He had to go back to the van to hear himself think.

Mr Hume was found to be upset. He explained that he had spent thirty years as a librarian in a very busy building, and supposed that he had saved it up.

It was suggested that he might release it under control. On Mondays he now sits in the maternity ward, and on Wednesdays in the room where they take driving tests. On Fridays, the primary school has him for half an hour after lunch.

Mrs Slack has withdrawn her complaint. She goes round to number 9 with a book, and says it is like sitting in snow.

@highlight

Neighbours complained that Wallace Hume of Laburnum Close was too quiet

@highlight

A council noise meter dropped below nothing in his front garden

@highlight

He now takes his quiet to a ward, a test centre and a school
