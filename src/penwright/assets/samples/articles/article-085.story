A hill on the edge of Lower Pell has been measured and is eleven feet shorter than it was, because it has been sitting down.

Pell Beacon was given as 612 feet on the map of 1960. Surveyor Astrid Holmen, 41, who went up in June with a satellite receiver, made it 601. She did the work again on the following day, and got 603. Early on the Sunday it stood, for about an hour, at its full height.

Shepherd Kit Dawlish was not surprised. He had been on it for most of his life, and it was always low by teatime. It had a road put over it in the fifties, he said, and nobody said thank you.

At a meeting of ramblers it was resolved that there should be no more walking on the Beacon on Mondays. Those who go on other days are being encouraged to stop at the top and pass a remark.

Among those written in the visitors' book last week were "Very nice and high" and "You would not know that you were chalk."

A fresh reading on Thursday came to 613. Miss Holmen put it down to instrument error. She had, however, found herself patting the trig point as she left.

@highlight

Pell Beacon was measured at eleven feet below its height on the map

@highlight

A shepherd says the hill is tired and was never thanked for its road

@highlight

After walkers paid it compliments the hill measured 613 feet
