Police have called off an umbrella amnesty after they were given eleven thousand in a day and it did not rain.

The idea came from Inspector Ruby Cartwright, 46, who had reason to suppose that most of those in the town belonged to somebody else. A box was put in the foyer of the station, and no names were to be taken. By nine o'clock there was a line to the fish market.

Among the first was a bank manager with fourteen. An elderly priest left one and came back with its cover. A woman who did not stop to talk handed over a black silk with a duck's head, saying that she had gone home with it after a funeral, on purpose, since he used to hold it over her.

That one was put aside. On Friday it was collected by the man's sister, who had been hunting for it for six years, and she asked to be given the woman's address so that she could send it back.

With no umbrellas left in Lower Pell, the sky has been blue for nine days together. Farmers are worried. They have begged that as many as possible should be given out again, at once, to the wrong people.

@highlight

Police took in eleven thousand umbrellas in a one-day amnesty

@highlight

It has not rained since, and farmers want them given out again

@highlight

One silk umbrella with a duck's head was reclaimed by a dead man's sister
