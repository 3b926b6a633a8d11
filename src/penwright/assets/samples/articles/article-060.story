The deep end of the old Corporation Baths has been misplaced during building work, contractors have admitted.

The pool was drained in the spring for new tiles. When it was filled again last week, swimmers found it to be four feet deep all the way along. Diver Marcus Teague, 22, made the discovery in competition and is now an inch shorter.

Site manager Graham Pugh said the drawings plainly showed nine feet of water under the boards. His men remembered it. They had taken their lunch down there for the sake of the cool.

A search was made of the boiler room and the yard. On Saturday a call came in from the paddling pool at Jubilee Park, a mile away, where a toddler had dropped in a spade and not heard it land. Attendant Lucy Orme let down a washing line with a tin on it, and ran out of line.

Park staff have put up a rope and a sign. Local opinion is divided. The diving club would like it back by the regional finals, but a pair of great crested grebes have arrived, along with a man in a rubber suit who will not say where he came up from.

@highlight

The deep end of the Corporation Baths has gone missing during building work

@highlight

The pool is now four feet deep from end to end

@highlight

It seems to have turned up in a paddling pool a mile away
