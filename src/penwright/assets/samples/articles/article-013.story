Forty-four visitors from the twin town of Brack-sur-Mole spent a happy weekend in the wrong place, the Twinning Association has confirmed.

Their coach had been due at Lower Pell at noon on Friday. A welcome party with a banner, a cake and the silver band waited in the square until dusk. The coach, following a new set of directions, had gone to Lower Peel, a hamlet of nineteen people some sixty miles inland.

Nobody there was expecting anyone. Farmer Alan Todd, 61, said that he opened his curtains and saw a mayor in his yard. His wife put the kettle on and telephoned round for beds.

The visitors were shown a bull and a view. There was a dance in a barn. A speech was made in French to a field, and was warmly received.

It was only on Sunday, when the guests asked to see the sea, that the mistake came to light.

Brack-sur-Mole has now written to say that it would like to be twinned with Lower Peel as well. The cake was eaten by the welcome party over three days.

@highlight

Visitors from a French twin town spent the weekend in the wrong village

@highlight

Their coach went to Lower Peel, a hamlet sixty miles inland

@highlight

The mistake came to light when the guests asked to see the sea
