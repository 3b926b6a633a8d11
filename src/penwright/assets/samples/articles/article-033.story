A tortoise who walked out of a garden in Quarry Lane nine years ago was picked up on Sunday, a mile and a quarter away and still going.

Clementine belongs to Edwina Shore, 68, who had put a picture of her in the window and never taken it down. The gate was left open by a man delivering gravel.

She was found by a hiker on the bridleway to Pell Head, heading west. Vet Anton Bielski, who examined her, said that she was in excellent health. She had mud from three parishes, and on her shell somebody had painted, neatly and at different times, the words GO ON and NEARLY THERE.

Mrs Shore looked at a map and laid a ruler along it from her own gate. The line led to the cliff where she and her husband used to take Clementine for picnics, in a basket, before he died.

The tortoise was brought home and given a strawberry. She ate it and went to the gate.

On Monday, Mrs Shore carried her up to the cliff by car. They stayed for the whole afternoon. Clementine slept, facing the view, and has since shown no further wish to travel.

@highlight

A tortoise missing for nine years was found a mile and a quarter away

@highlight

She was heading for a cliff where her owners took her for picnics

@highlight

Strangers had painted words of encouragement on her shell
