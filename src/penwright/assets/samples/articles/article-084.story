Every key cut by locksmith Herbert Glass in the week before he retired has been found to open the front door of his own house.

Mr Glass, 71, ran the kiosk beside the station for half a century. In his last days he was rushed off his feet, and did sixty-two keys for customers who wished to say goodbye. The machine, he now thinks, may have had something on its mind.

The first to bring one back was mechanic Danny Orr, 33, who lives at 14 Tern Street and had turned into 41 in the dark. The lock went over like butter. Mr Glass was in the kitchen with a boiled egg, and there was nobody else there, and had not been since his wife's death. He asked Mr Orr if he would care for one.

Within a fortnight he had been visited by thirty people. They came to complain. Several now come on Tuesdays, and a boy who used his to get in out of the hail has been shown how to pick a padlock.

He was offered a new barrel for the door, free, by the firm who took over. He thanked them very much. What he has bought, he told the Gazette, is a bigger saucepan.

@highlight

Sixty-two keys cut by a retiring locksmith all opened his own door

@highlight

Customers who came to complain found Herbert Glass alone and stayed

@highlight

He refused a new lock and bought a bigger saucepan instead
