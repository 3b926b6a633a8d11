Lollipop man Ivor Beddoes, who stopped the traffic outside St Mark's Infants for twenty-six years, stopped the tide on his last day.

Mr Beddoes, 68, had taken the school to the beach for a leaving picnic on Friday. At a quarter past three two of the reception class were out beyond the groyne looking for crabs when the water began to come in behind them.

Teaching assistant Holly Wren saw him get up from his deckchair. He was carrying the pole, as he had been asked to bring it for the photograph. He walked into the sea as far as his knees and held it up.

"The waves just stopped where they were," she said. "They sort of piled up, the way that cars do. One at the back was a bit impatient."

He beckoned the children over. They came across hand in hand, as they had been taught, and said thank you. He waited until the smaller one had gone back for her bucket.

Then he lowered the sign and nodded. Several who were present say that the first wave, as it went by, gave him a wave.

The pole is to hang in the school hall. His boots have not yet dried out.

@highlight

A retiring lollipop man held back the tide for two children on Friday

@highlight

Ivor Beddoes walked into the sea and raised his crossing sign

@highlight

He had stopped traffic outside St Mark's Infants for twenty-six years
