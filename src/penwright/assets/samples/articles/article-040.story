An audience of sixty at the Regal on Saturday asked for the wrong film to be allowed to continue.

The advertised picture was a spy thriller. Owing to a mistake at the depot, the tins held a documentary about the repair of dry stone walls, made in 1968 and lasting three hours and five minutes.

Projectionist Horace Webb, 73, saw what had happened as soon as the first wall came up. He stopped the reel and went down to the front to offer people their money back. A woman in row F called out to him to wait until they had seen if the big one fitted.

A show of hands was taken. Fifty-eight voted to go on. The other two, a young couple, said that they did not mind, as they had not been looking.

There was cheering when the top course was finished. A man wept at a gate. During the interval strangers were heard discussing lichen.

Manager Sunita Rao has booked it for another week, and is looking for a sequel. She said the spy film had since arrived but had been found to be rather thin. On Sunday forty members of the public rebuilt the wall of the car park.

@highlight

The Regal cinema showed a film about stone walls by mistake

@highlight

Fifty-eight of sixty people voted to keep watching it

@highlight

The film has been booked for another week
