The ceremonial chain of the mayor was recovered from the roof of the swimming baths on Thursday, together with eleven other things that nobody had reported.

It was snatched by a herring gull during the opening of a new footbridge. Mayor Wendy Froud, 54, had bent down to cut a ribbon. The bird lifted the chain over her ears and carried it away with what she described as a good deal of dignity.

Steeplejack Ollie Bains was sent up after pupils at a swimming lesson saw something glittering through the skylight. He discovered a nest laid out in the manner of a shop window.

As well as the chain, it held two bicycle clips, a set of teeth, a medal for ballroom dancing, a teaspoon from every cafe on the front, and a small framed photograph of another gull.

The owner took no notice of Mr Bains until he reached for the picture, when it stood on his hand.

He left that where it was. The chain has been cleaned and returned to the mayor. She has sent up a cheap replica by way of exchange, and says the gull wears it on Sundays.

@highlight

The mayor's chain was found in a gull's nest on the baths roof

@highlight

The nest also held teeth, teaspoons and a dancing medal

@highlight

The mayor has given the gull a cheap copy in exchange
