Police who were sent to clear cows from the Mill Cross roundabout on Tuesday morning reported they had nothing to do, since the animals had formed a queue.

Thirty-four Friesians had got out through a gate at Tapp's Farm. The first driver on the scene, florist Graham Lunn, 39, expected chaos. He saw instead a line, nose to tail, along the nearside verge. They gave way to the right.

When a gap came, one went. It would go round as far as the turning for the meadow and get off, and the next moved up. Constable Anil Deshmukh watched for twenty minutes with his notebook. A brown one attempted to push in at about the middle, he said, and was looked at until it went to the back.

Motorists, who had been hooting, left off. There was a good deal of letting in. A man in a van was heard to say, "No, no, after you, madam," and it was not clear to whom.

Farmer Judith Tapp said they went through it twice a day at milking and must have assumed that it was the same everywhere.

The highways department will be putting in a signal with a picture of a cow. Accidents there have since gone down by half.

@highlight

Thirty-four escaped cows queued politely at the Mill Cross roundabout

@highlight

They gave way to the right and crossed one at a time

@highlight

Accidents at the junction have fallen by half since then
