A case at Pell County Court was settled on Friday by a parrot, after two days of argument between its owners.

Former partners Noel Cotter and Jasmine Blythe both claimed an African grey called Bosun. Each said that the bird had been a present to them from the other. As there was no receipt, District Judge Amelia Stroud gave permission for the subject of the dispute to be brought in.

Bosun was carried to the witness box in a cage with a cloth over it. When this was taken off he looked to his left and said, in a man's voice, "You have him, love, you're better at it." He looked to the right, and in a woman's said, "No, you have him, or you'll be all on your own."

There was a pause. The usher was seen to study the ceiling.

Counsel for Mr Cotter rose, and sat down again. The judge remarked that she had rarely heard evidence given so fairly, and that she would take an early lunch.

When the court came back the parties had gone. They were found on a bench outside with the cage between them, sharing a flask. Costs were not asked for. Bosun, pressed for a comment, said "All rise."

@highlight

A parrot gave evidence in a dispute over who should own it

@highlight

Bosun repeated each former partner telling the other to keep him

@highlight

The pair dropped the case and were found sharing a flask
