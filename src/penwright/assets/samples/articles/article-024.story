A pothole in Orchard Way has been removed from the list of repairs and added to the list of ponds.

It first appeared outside number 30 in the autumn of 2019. Residents reported it eleven times. In the meantime it filled with rain, and somebody put a plant in it.

Retired postmistress Gwen Attwater, 72, began to look after it during a dry spell. She edged it in stones. Newts came in the second year, and a pair of moorhens in the fourth, though they have had to take turns to turn round.

When a repair gang arrived last Monday with hot tar, they found forty people with linked arms. Foreman Kevin Shaw turned off his engine. He was shown a dragonfly coming out of its skin on a traffic cone, which took an hour and ten minutes. His men had their sandwiches and watched.

Priya from Highways has since made an order closing the lane to all except those who live there, ducks, and Mr Shaw, who comes back on Sundays with his son.

A new pothole has opened outside number 12. Residents have asked that it should not be reported.

@highlight

A pothole in Orchard Way has been officially reclassified as a pond

@highlight

Forty residents linked arms when a repair gang came to fill it

@highlight

Newts, dragonflies and a pair of moorhens now live in it
