The pier has refused to let go of a jersey that was knitted round it for charity.

Eighty members of the Purl Harbour Club worked for fourteen months on the garment, which covers the full length of the structure and has a polo neck at the ticket office. It was meant to come off after the August holiday.

When volunteers arrived to unpick it, they found that the seams had vanished. Club secretary Winnie Lockett, 77, said the wool had grown into the ironwork like ivy. She pulled at a loose end and felt something pull back.

Pier manager Robin Sharpe said he was not sure what to do. Since the jersey went on, the creaking had stopped, and the rust was no worse. The boards are warm to walk on. Anglers have been coming out on winter nights who used to stay at home.

"It is a hundred and thirty years old and it stands in the sea," Mrs Lockett told the meeting. "I'd keep it on too."

The club voted by seventy-eight to two to leave it. Work begins next week on a scarf for the lighthouse, which has been seen to lean a little in their direction.

@highlight

Lower Pell pier will not give up a jersey knitted for it

@highlight

Seams vanished and the wool has grown into the ironwork, knitters say

@highlight

The club voted to leave it on and is starting on a lighthouse scarf
