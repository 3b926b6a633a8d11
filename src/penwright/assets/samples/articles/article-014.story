The winning entry in the heaviest marrow class at Saturday's show was disqualified when it turned out to be occupied.

The vegetable, grown by Stan Birkett, 69, weighed in at seventy-three pounds. Judges had already pinned on the rosette when steward Olive Crane noticed a small curtain.

A door had been gnawed in the underside. Inside were five field mice, with bedding, a store of oats, and a thimble that Mr Birkett's wife has been looking for since Whitsun. The family had evidently moved in while the marrow was still on the vine.

Under the rules an entry must contain nothing but itself. The mice and their furniture were found to weigh about six ounces, which was more than the margin over the second-placed marrow.

Mr Birkett accepted the ruling, and said he had thought that it was growing rather confidently.

The runner-up, Phyllis Onslow, offered him half of her prize of ten pounds. He has spent it on straw. The marrow is back on his allotment with its door to the south, and will not be made into chutney this year.

@highlight

A prize marrow was disqualified because five field mice were living in it

@highlight

The mice and furniture weighed more than the winning margin

@highlight

Grower Stan Birkett has returned the marrow to his allotment for them
