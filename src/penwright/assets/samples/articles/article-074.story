An ice cream van that could not be sold has found new work in the winter as a soup kitchen, but its tune has had to be slowed down.

Salvatore Conti, 47, takes it out on frosty nights along the sea wall and through the new estate. There is leek, there is lentil, and there is a thing in a cone which is mostly mashed potato.

On the first evening nobody came to the window. People could hear the chimes, he said, and thought that they had gone mad. He got a cousin with a soldering iron to take it down to half speed and drop it by an octave.

Now it goes by like somebody humming at a sink. Residents say that they find they have put on their slippers. Night nurse Imogen Frew, 28, was waiting at a bus stop in Larch Avenue when it came round the corner in the sleet with its lights on. She told us that she had had a bad shift, and that she stood there and held the cup, and it was then that she knew it would end.

He does not charge after midnight. A flake can be had on request, though with the lentil Mr Conti advises against it.

@highlight

Salvatore Conti is using his ice cream van to sell soup in winter

@highlight

The chimes were slowed to half speed because they confused people

@highlight

Soup from the van is free of charge after midnight
